/**
 * node:http without Node's fetch. An `import` of it reads every name that it exports, and three of them (WebSocket, CloseEvent,
 * MessageEvent) load undici and its WebAssembly: 36 ms of CPU and 10 MiB of a process that wants a server. Types may be imported.
 */
export const http = process.getBuiltinModule('node:http')
