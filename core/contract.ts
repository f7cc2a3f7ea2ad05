/** Which version of the contract this Postern keeps, and whether it keeps the one that a plugin was written for. */

/**
 * The version of `postern/plugin`, `postern/provider`, `postern/access` and `postern/testing`, as semver has it: the first
 * number grows when a plugin has to be changed, the second when something was added. docs/contract.api.md has all of it, and a
 * test fails when that changes by itself.
 */
export const contractVersion = '1.1'

/** Null where a plugin written for this version works here; else why not, and what to do. */
export function contractProblem(
  written: string,
  kept: string = contractVersion,
): { readonly message: string; readonly cure: string } | null {
  const [asked, own] = [parse(written), parse(kept)]
  if (!asked || !own)
    return { message: `"${written}" is no version of the contract`, cure: `Write contract: '${kept}'` }
  const message = `it was written for version ${written} of the contract, and this Postern keeps ${kept}`
  if (asked.major < own.major)
    return { message, cure: `Ask its author for one for ${kept}, or run the Postern it was written for` }
  if (asked.major > own.major || asked.minor > own.minor) return { message, cure: 'Update Postern' }
  return null
}

function parse(text: string): { readonly major: number; readonly minor: number } | null {
  const [, major, minor] = /^(\d+)\.(\d+)(?:\.\d+)?$/.exec(text) ?? []
  return major === undefined ? null : { major: Number(major), minor: Number(minor) }
}
