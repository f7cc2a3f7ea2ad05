/**
 * walker.as and strings.as, compiled: the walk over JSON bytes that scan.ts takes.
 *
 * WebAssembly because nothing else looks at 16 bytes at a time: a loop in JavaScript that jumps over strings by
 * Buffer.indexOf sees no control characters, and one that sees them is as slow as JSON.parse on text with escapes.
 * `node scan.bench.ts` has the ratios. To compile after a change, with AssemblyScript 0.28:
 *
 *     for name in walker strings; do cp $name.as build/$name.ts; done
 *     npx asc build/walker.ts -O3 --runtime stub --enable simd --noAssert \
 *       --initialMemory 20 --maximumMemory 20 -o build/walker.wasm
 *     base64 -w 116 build/walker.wasm; cat walker.as strings.as | sha256sum
 */

/** The SHA-256 of the walker.as and strings.as that were compiled: a test compares. */
export const compiledFrom = '4e7bfb796bf9c3f0f8656eb0ea53c623ae458b68331fd369335a8f2cefe0cccf'

const compiled = `
AGFzbQEAAAABDgNgAABgAn9/AX9gAAF/AwYFAAECAAEFBAEBFBQGLgl/AUEAC38BQQALfwFBAAt/AUEAC38BQQALfwFBAAt/AUEAC38BQQALfwFBAAsH
IwQFYmVnaW4AAwdpc1dob2xlAAIEd2FsawABBm1lbW9yeQIACAEACrYaBQYAQQAkAAuCFAIEfwF7QYCBAiECIwAhAyAAQSI6AAACQANAIAAgBEsEQCAE
LQAAIQUgA0EHTQRAIAVBIE0EQCAFQQpHIAVBIEdxIAVBDUdxIAVBCUdxDQQgBEEBaiEEDAMLAkACQAJAAkACQAJAAkAgAw4HBQAAAQIDBAoLIAVBIkYE
QCAEQQFqIQRBASQDIwFBAUYEQCABIARqJAVBACQIC0EIIQMMBgsgA0ECRiAFQf0AR3INCUEGIQMMCAsgBUE6Rw0IIARBAWohBEEFIQMMBAsgBUHdAEYE
QEEGIQMMBwsLIwFBAUYEQCABIARqJAcLIARBAWohBCAFQSJGBEBBACQDQQghAwwDCyAFQfsARiIDIAVB2wBGcgRAIwFBgIDAAEYNByMBQYDBCGojAjoA
ACMBQQFqJAEgAyQCQQFBBCMCGyEDDAYLIAVBMWtBCUkEQEEOIQMFIAVBMEYEQEENIQMFIAVBLUYEQEEMIQMFQQshAyAFQfQARgRAQfLqlQMkBAUgBUHm
AEYEQEHh2M2rBiQEBSAFQe4ARgRAQfXYsQMkBAUMDAsLCwsLCwwFCyAEQQFqIQQgBUEsRgRAQQJBBSMCGyEDDAULIAVB/QBB3QAjAhtHDQUjAUEBayQB
IwFFBEBBByEDDAULIwFBgMEIai0AAEEARyQCIwFBAUYEQCACIwU2AgAgAiMGNgIEIAIjBzYCCCACIAEgBGo2AgwgAkEQaiECCwwECyAFQfsARw0EIARB
AWohBEEBJAFBASQCQQEhAwwDCyADQQhHDQILAkACQAJAAkACQAJAAkACQCADQQhrDgsAAQIDBAYGBQYFBQYLIAT9AAQAIgb9DCIiIiIiIiIiIiIiIiIi
IiL9IyAG/QxcXFxcXFxcXFxcXFxcXFxc/SP9UCAG/QwfHx8fHx8fHx8fHx8fHx8f/XcgBv0j/VD9ZCIFRQRAIARBEGoiBP0ABAAiBv0MIiIiIiIiIiIi
IiIiIiIiIv0jIAb9DFxcXFxcXFxcXFxcXFxcXFz9I/1QIAb9DB8fHx8fHx8fHx8fHx8fHx/9dyAG/SP9UP1kIgVFBEAgBEEQaiEEA0AgBP0ABAAiBv0M
IiIiIiIiIiIiIiIiIiIiIv0jIAb9DFxcXFxcXFxcXFxcXFxcXFz9I/1QIAb9DB8fHx8fHx8fHx8fHx8fHx/9dyAG/SP9UCAE/QAEECIG/QwiIiIiIiIi
IiIiIiIiIiIi/SMgBv0MXFxcXFxcXFxcXFxcXFxcXP0j/VAgBv0MHx8fHx8fHx8fHx8fHx8fH/13IAb9I/1Q/VAgBEEgaiIF/QAEACIG/QwiIiIiIiIi
IiIiIiIiIiIi/SMgBv0MXFxcXFxcXFxcXFxcXFxcXP0j/VAgBv0MHx8fHx8fHx8fHx8fHx8fH/13IAb9I/1QIAX9AAQQIgb9DCIiIiIiIiIiIiIiIiIi
IiL9IyAG/QxcXFxcXFxcXFxcXFxcXFxc/SP9UCAG/QwfHx8fHx8fHx8fHx8fHx8f/XcgBv0j/VD9UP1Q/VNFBEAgBEFAayEEDAELCwNAIAT9AAQAIgb9
DCIiIiIiIiIiIiIiIiIiIiL9IyAG/QxcXFxcXFxcXFxcXFxcXFxc/SP9UCAG/QwfHx8fHx8fHx8fHx8fHx8f/XcgBv0j/VD9ZCIFRQRAIARBEGohBAwB
CwsLCyAEIAVoaiEEA0AgBC0AAEHcAEYgBEEkaiAATXEEQEEBJAggBCAAEAQiBEF/Rg0LIAT9AAQAIgb9DCIiIiIiIiIiIiIiIiIiIiL9IyAG/QxcXFxc
XFxcXFxcXFxcXFxc/SP9UCAG/QwfHx8fHx8fHx8fHx8fHx8f/XcgBv0j/VD9ZCIFRQRAIARBEGoiBP0ABAAiBv0MIiIiIiIiIiIiIiIiIiIiIv0jIAb9
DFxcXFxcXFxcXFxcXFxcXFz9I/1QIAb9DB8fHx8fHx8fHx8fHx8fHx/9dyAG/SP9UP1kIgVFBEAgBEEQaiEEA0AgBP0ABAAiBv0MIiIiIiIiIiIiIiIi
IiIiIv0jIAb9DFxcXFxcXFxcXFxcXFxcXFz9I/1QIAb9DB8fHx8fHx8fHx8fHx8fHx/9dyAG/SP9UCAE/QAEECIG/QwiIiIiIiIiIiIiIiIiIiIi/SMg
Bv0MXFxcXFxcXFxcXFxcXFxcXP0j/VAgBv0MHx8fHx8fHx8fHx8fHx8fH/13IAb9I/1Q/VAgBEEgaiIF/QAEACIG/QwiIiIiIiIiIiIiIiIiIiIi/SMg
Bv0MXFxcXFxcXFxcXFxcXFxcXP0j/VAgBv0MHx8fHx8fHx8fHx8fHx8fH/13IAb9I/1QIAX9AAQQIgb9DCIiIiIiIiIiIiIiIiIiIiL9IyAG/QxcXFxc
XFxcXFxcXFxcXFxc/SP9UCAG/QwfHx8fHx8fHx8fHx8fHx8f/XcgBv0j/VD9UP1Q/VNFBEAgBEFAayEEDAELCwNAIAT9AAQAIgb9DCIiIiIiIiIiIiIi
IiIiIiL9IyAG/QxcXFxcXFxcXFxcXFxcXFxc/SP9UCAG/QwfHx8fHx8fHx8fHx8fHx8f/XcgBv0j/VD9ZCIFRQRAIARBEGohBAwBCwsLCyAEIAVoaiEE
DAELCyAAIARNBEAgACEEDAcLIAQtAAAhAyAEQQFqIQQgA0EiRgR/IwMEfyMBQQFGBEAgASAEakEBayMIQR90ciQGC0EDBSMBQQFGBEAgAiMFNgIAIAIj
BjYCBCACIwc2AgggAiABIARqNgIMIAJBEGohAgtBBgsFIANB3ABHDQpBASQIQQkLIQMMBgsgBEEBaiEEIAVB9QBGBH9BBCQEQQoFIAVBBXZBA0YEf0HE
gNEAIAV1QQFxBSAFQdwARiAFQSJGciAFQS9GcgtFDQlBCAshAwwFCyAFQTBrQQpJIAVBIHJB4QBrQQZJckUNByAEQQFqIQQjBEEBayQEIANBCCMEGyED
DAQLIAUjBEH/AXFHDQYgBEEBaiEEIwRBCHYkBCMERQRAIwFBAUYEQCACIwU2AgAgAiMGNgIEIAIjBzYCCCACIAEgBGo2AgwgAkEQaiECC0EGIQMLDAML
IAVBMEYEf0ENBSAFQTFrQQlPDQZBDgshAyAEQQFqIQQMAgsgBUEwa0EKSQR/QRBBEyADQQ9GGwUgA0ERRgR/IAVBLUYgBUErRnIFQQALRQ0FQRILIQMg
BEEBaiEEDAELIANBDUcEQANAIAVBMGtBCkkEQCAEQQFqIgQtAAAhBQwBCwsgACAETQ0BCyAFQS5GIANBDk1xBH8gBEEBaiEEQQ8FIAVBIHJB5QBGIANB
E0dxBH8gBEEBaiEEQREFIwFBAUYEQCACIwU2AgAgAiMGNgIEIAIjBzYCCCACIAEgBGo2AgwgAkEQaiECC0EGCwshAwsMAQsLIAMkACACQYCBAmtBBHYP
C0F/CwcAIwBBB0YLDgBBACQAQQAkAUEAJAILkQYCBn8CewNAIAD9AAQAIgj9DCIiIiIiIiIiIiIiIiIiIiL9I/1kIAD9AAQQIgn9DCIiIiIiIiIiIiIi
IiIiIiL9I/1kQRB0ciICIAj9DB8fHx8fHx8fHx8fHx8fHx/9dyAI/SP9ZCAJ/QwfHx8fHx8fHx8fHx8fHx8f/XcgCf0j/WRBEHRyIgRyIAj9DFxcXFxc
XFxcXFxcXFxcXFz9I/1kIAn9DFxcXFxcXFxcXFxcXFxcXFz9I/1kQRB0ciADQX9zcSIFciADckUEQCAADwsgBUGq1arVenEgBUEBdCADciIGQX9zcSID
IAVqIgUgA0khAyAEIAIgBUEBdEHVqtWqBXMgBnEiAkF/c3EiBgR/IAZBACAGa3FBAWsFQX8LIgRxBH9BAQUgAiAEcf0MAAABAAACBAgAAAAAAAAAACAI
QQT9jQH9DA8PDw8PDw8PDw8PDw8PDw/9Tv0O/QwAAA0ACAgEAAAAAAACAAQBIAj9DA8PDw8PDw8PDw8PDw8PDw/9Tv0O/U79DAAAAAAAAAAAAAAAAAAA
AAD9I/1k/QwAAAEAAAIECAAAAAAAAAAAIAlBBP2NAf0MDw8PDw8PDw8PDw8PDw8PD/1O/Q79DAAADQAICAQAAAAAAAIABAEgCf0MDw8PDw8PDw8PDw8P
Dw8PD/1O/Q79Tv0MAAAAAAAAAAAAAAAAAAAAAP0j/WRBEHRycQsEQEF/DwsgAiAEcSAI/Qx1dXV1dXV1dXV1dXV1dXV1/SP9ZCAJ/Qx1dXV1dXV1dXV1
dXV1dXV1/SP9ZEEQdHJxIQIDQCACBEAgACACaGooAgEiBEEYdiEFIARB/wFxIgdBMGtBCkkgB0EgckHhAGtBBklyIARBCHZB/wFxIgdBMGtBCkkgB0Eg
ckHhAGtBBklycSAEQRB2Qf8BcSIEQTBrQQpJIARBIHJB4QBrQQZJcnEgBUEwa0EKSSAFQSByQeEAa0EGSXJxRQRAQX8PCyACIAJBAWtxIQIMAQsLIAYE
QCAAIAZoag8LIABBIGoiAEEkaiABTQ0ACyAAIANrCw==
`

/** What of WebAssembly is used here; its types come with the DOM's only. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object
  Instance: new (module: object) => { readonly exports: object }
}

interface Walker {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly begin: () => void
  readonly walk: (length: number, base: number) => number
  readonly isWhole: () => number
}

const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(compiled, 'base64')))
// What walker.as exports.
const { memory, ...walker } = exports as Walker

/** Forgets the last walk. One walk is under way at a time: between `begin` and `isWhole` nothing may await. */
export const begin = walker.begin
/** Walks `length` bytes of the window, the first being byte `base`: how many members end there, -1 for no JSON. */
export const walk = walker.walk
/** 1 where what was walked is one whole object. */
export const isWhole = walker.isWhole

/** How many bytes the window takes. */
export const room = 0x8000
export const window = new Uint8Array(memory.buffer, 0, room)
/** What `walk` has found, four numbers each: key from and to (highest bit: it has escapes), value from and to. */
export const members = new Uint32Array(memory.buffer, room + 0x80, 0x1a000 / 4)
