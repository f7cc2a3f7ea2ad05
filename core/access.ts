/** `postern/access`: who may call. One verifier; the plugins that guard an API are its faces. */
export { credentialIn, type Access, type Place, type Verdict } from './access/access.ts'
export { challenge, guard, type Face, type Guard } from './access/guard.ts'
export { fromUnits, toUnits } from './access/money.ts'
export type { Principal } from './access/principal.ts'
export type { Standing } from './access/standing.ts'
export { denials, deny, type Denial, type DenialCode } from './access/verify.ts'
