/** Changes a JSON object in its bytes: what no edit names stays as it is spelt. */
import { isCalled, scanObject, type Member } from './scan.ts'

/** One change of one field. A dot leads into an object: `reasoning.effort`. */
export interface Edit {
  readonly field: string
  /** The new value as JSON; null deletes the field. */
  readonly json: string | null
}

/** Sets a field to what JSON.stringify makes of the value; a value that it leaves out, such as undefined, deletes. */
export function setField(field: string, value: unknown): Edit {
  // JSON.stringify gives undefined for undefined, functions and symbols, though its type does not say so.
  return { field, json: JSON.stringify(value) ?? null }
}

/** Deletes a field. */
export function deleteField(field: string): Edit {
  return { field, json: null }
}

/**
 * The object with all edits made, as if one after the other; every other byte is as it was. Of a name that is edited
 * only the last copy stays, the one that JSON.parse reads. Setting a field below something that is no object puts an
 * object in its place; deleting there changes nothing. Where nothing changes, the same Buffer is returned. Throws where
 * the bytes are no object. Members that are known already save the walk.
 */
export function applyPatch(
  bytes: Buffer,
  edits: readonly Edit[],
  members: readonly Member[] | null = scanObject(bytes),
): Buffer {
  if (!members) throw new Error('applyPatch: the bytes are not one whole JSON object')
  return edits.length === 0 ? bytes : joined(bytes, splicesOf(bytes, members, planOf(edits)))
}

/** What becomes of one name: its own new value first, then changes inside it. */
interface Change {
  /** Undefined: it keeps the value it has. Null: it has none. */
  json: string | null | undefined
  /** Something was set inside it, so it is an object from then on. */
  isObject: boolean
  inside: Plan | null
}
type Plan = Map<string, Change>

interface Splice {
  readonly start: number
  readonly end: number
  readonly text: string
}

function planOf(edits: readonly Edit[]): Plan {
  const plan: Plan = new Map()
  for (const { field, json } of edits) enter(plan, field, json)
  return plan
}

function enter(plan: Plan, field: string, json: string | null): void {
  const dot = field.indexOf('.')
  const name = dot === -1 ? field : field.slice(0, dot)
  let change = plan.get(name)
  if (!change) plan.set(name, (change = { json: undefined, isObject: false, inside: null }))
  if (dot === -1) {
    change.json = json
    change.isObject = false
    change.inside = null
    return
  }
  if (json !== null) change.isObject = true
  enter((change.inside ??= new Map()), field.slice(dot + 1), json)
}

/** Adds the splices that change the object that begins behind `from`, in the order of the bytes. */
function spliceObject(bytes: Buffer, from: number, members: readonly Member[], plan: Plan, splices: Splice[]): void {
  const edited = [...plan.keys()]
  const last = new Map<string, number>()
  const names = members.map((member, index) => {
    const name = edited.find((name) => isCalled(bytes, member, name)) ?? null
    if (name !== null) last.set(name, index)
    return name
  })
  const isLeft = (name: string | null, index: number) =>
    name === null || (last.get(name) === index && !isDeleted(plan.get(name)!))

  // What goes takes the comma before it along; at the front, the comma behind it.
  const found = names.findIndex(isLeft)
  const front = found === -1 ? members.length : found
  if (front > 0) splices.push({ start: members[0]!.keyStart - 1, end: startOf(members, front), text: '' })
  for (let index = front; index < members.length; index++) {
    const name = names[index]!
    if (!isLeft(name, index)) splices.push({ start: members[index - 1]!.end, end: members[index]!.end, text: '' })
    else if (name !== null) spliceValue(bytes, members[index]!, plan.get(name)!, splices)
  }

  const added: string[] = []
  for (const [name, change] of plan) {
    const json = last.has(name) ? null : spelt(change)
    if (json !== null) added.push(`${JSON.stringify(name)}:${json}`)
  }
  if (added.length === 0) return
  const end = members.at(-1)?.end ?? bytes.indexOf('{', from) + 1
  splices.push({ start: end, end, text: (found === -1 ? '' : ',') + added.join(',') })
}

function spliceValue(bytes: Buffer, { start, end }: Member, change: Change, splices: Splice[]): void {
  const members = change.json === undefined ? scanObject(bytes, start, end) : null
  if (members && change.inside) spliceObject(bytes, start, members, change.inside, splices)
  // What is deleted has been cut, so there is something to spell.
  else if (change.json !== undefined || change.isObject) splices.push({ start, end, text: spelt(change)! })
}

/** What a changed value is where there was none, or none that counts; null where there still is none. */
function spelt({ json = null, isObject, inside }: Change): string | null {
  if (!inside) return json
  const bytes = Buffer.from(json ?? '')
  const members = scanObject(bytes)
  if (members) return joined(bytes, splicesOf(bytes, members, inside)).toString()
  return isObject ? joined(empty, splicesOf(empty, [], inside)).toString() : json
}
const empty = Buffer.from('{}')

function splicesOf(bytes: Buffer, members: readonly Member[], plan: Plan): Splice[] {
  const splices: Splice[] = []
  spliceObject(bytes, 0, members, plan, splices)
  return splices
}

function isDeleted({ json, isObject }: Change): boolean {
  return json === null && !isObject
}

/** Where the member's key opens, or the last member ends where there is no such member. */
function startOf(members: readonly Member[], index: number): number {
  const member = members[index]
  return member ? member.keyStart - 1 : members.at(-1)!.end
}

function joined(bytes: Buffer, splices: readonly Splice[]): Buffer {
  if (splices.length === 0) return bytes
  let length = bytes.length
  for (const { start, end, text } of splices) length += Buffer.byteLength(text) - (end - start)
  const result = Buffer.allocUnsafe(length)
  let read = 0
  let written = 0
  for (const { start, end, text } of splices) {
    written += bytes.copy(result, written, read, start)
    written += result.write(text, written)
    read = end
  }
  bytes.copy(result, written, read)
  return result
}
