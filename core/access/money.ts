/** Money: whole units of 10⁻¹⁰ USD, the precision of the database's numeric(20,10). Never a float. */

const digits = 10

/** From a decimal number as PostgreSQL writes it. Throws for what is none. */
export function toUnits(decimal: string): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(decimal)
  if (!match) throw new RangeError(`${JSON.stringify(decimal)} is no amount of money`)
  const [, sign, whole = '', fraction = ''] = match
  const units = BigInt(whole + fraction.slice(0, digits).padEnd(digits, '0'))
  return sign === '-' ? -units : units
}

/** As a decimal number, without zeros at its end. */
export function fromUnits(units: bigint): string {
  const text = (units < 0n ? -units : units).toString().padStart(digits + 1, '0')
  const fraction = text.slice(-digits).replace(/0+$/, '')
  return `${units < 0n ? '-' : ''}${text.slice(0, -digits)}${fraction === '' ? '' : `.${fraction}`}`
}
