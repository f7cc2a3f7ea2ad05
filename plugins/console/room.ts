/** What the gateways of one process have in common here. */
import { Asides } from './aside.ts'
import { Events } from './events.ts'
import { Trail } from './trail.ts'
import { Health } from './upstreams.ts'
import { Uses } from './usage.ts'

export interface Room {
  readonly trail: Trail
  readonly events: Events
  readonly health: Health
  readonly asides: Asides
  readonly uses: Uses
}

/** `keep`: how many exchanges are kept after their end. */
export function openRoom(keep: number): Room {
  const trail = new Trail(keep)
  return { trail, events: new Events(trail), health: new Health(), asides: new Asides(), uses: new Uses() }
}
