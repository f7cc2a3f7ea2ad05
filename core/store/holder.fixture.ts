/** A process that holds a slot and renews it until it is killed: `node holder.fixture.ts URL KEY TTL`. Says "held" when it has it. */
import { silentLog } from '../observe/log.ts'
import { openRedisStore } from './redis.ts'

const [, , url = '', key = '', ttl = ''] = process.argv
const store = openRedisStore(url, silentLog, { limit: 2000 })
if (await store.acquire(key, 'killed', 1, Number(ttl))) process.stdout.write('held\n')
setInterval(() => void store.renew([{ key, holder: 'killed' }], Number(ttl)).catch(() => {}), Number(ttl) / 3)
