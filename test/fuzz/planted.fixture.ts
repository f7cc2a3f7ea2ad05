/** Something with a fault, for the tests of the fuzzer. */
export function gate(input: Buffer): boolean {
  if (input[0] === 0x67) {
    if (input[1] === 0x61) {
      if (input[2] === 0x74) {
        if (input[3] === 0x65) {
          return true
        }
      }
    }
  }
  return false
}
