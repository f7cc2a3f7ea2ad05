/** Postern as it ships (the plugins of gateway.yaml but the demo, the log on), before the benchmark's upstream. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLog } from '../../core/observe/log.ts'
import { pluginSource } from '../../core/plugins.ts'
import { startSidecar } from '../../core/sidecar.ts'
import { reportCpu } from './measured.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'))
const file = join(folder, 'gateway.yaml')
writeFileSync(
  file,
  `listen: 127.0.0.1:0
admin: false
upstreams:
  - { name: bench, provider: openai, url: '${process.argv[2]}', key: sk-bench }
plugins:
  - security-headers
  - ip-rules: { deny: [203.0.113.0/24] }
  - anthropic
  - openai
  - gemini
  - failover: { attempts: 3 }
`,
)
const log = openLog({ level: 'info', destination: join(folder, 'log.jsonl') })
const sidecar = await startSidecar({ file, plugins: pluginSource, log, watch: false })
reportCpu(Number(new URL(sidecar.url).port))
