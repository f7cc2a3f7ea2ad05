/** The public modules: `postern/plugin` and its siblings. */
export declare const publicModules: readonly string[]
/** Writes out/core/*.d.ts; what no public module leads to is left out. */
export declare function emitTypes(out: string): void
