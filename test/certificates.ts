/** Certificates for a test, made when they are wanted: an issuer, and what it vouches for. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Texts in PEM, and the files that hold them. */
export interface Pair {
  readonly cert: string
  readonly key: string
  readonly certFile: string
  readonly keyFile: string
}

export interface IssueOptions {
  /** As openssl writes them: `DNS:api.test`, `IP:127.0.0.1`. */
  readonly names: readonly string[]
  /** Days from today on which it ends; negative: it has ended. */
  readonly days?: number
}

export interface Issuer extends AsyncDisposable {
  /** Its own certificate. */
  readonly ca: string
  readonly caFile: string
  readonly folder: string
  issue(options: IssueOptions): Promise<Pair>
}

const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** Makes an issuer of its own in a folder of its own. */
export async function issuer(): Promise<Issuer> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-certificates-'))
  const at = (name: string) => join(folder, name)
  const [caFile, caKey] = [at('ca.pem'), at('ca.key')]
  await run('openssl', ['req', '-x509', ...ec, '-days', '2', '-subj', '/CN=test', '-keyout', caKey, '-out', caFile])
  let issued = 0
  return {
    ca: await readFile(caFile, 'utf8'),
    caFile,
    folder,
    async issue({ names, days = 2 }) {
      const number = ++issued
      const [keyFile, asked, certFile] = [at(`${number}.key`), at(`${number}.csr`), at(`${number}.pem`)]
      await writeFile(at(`${number}.ext`), `subjectAltName=${names.join(',')}\n`)
      await run('openssl', ['req', ...ec, '-subj', `/CN=${number}`, '-keyout', keyFile, '-out', asked])
      const until = new Date(Date.now() + days * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '')
      const from = new Date(Date.now() - 9 * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '')
      await writeFile(at('index.txt'), '')
      await writeFile(at('serial'), String(1000 + number))
      await writeFile(at('ca.cnf'), caSettings(folder))
      const settings = ['ca', '-batch', '-notext', '-config', at('ca.cnf'), '-cert', caFile, '-keyfile', caKey]
      const dates = ['-startdate', from, '-enddate', until, '-extfile', at(`${number}.ext`)]
      await run('openssl', [...settings, ...dates, '-in', asked, '-out', certFile])
      return { cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8'), certFile, keyFile }
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true })
    },
  }
}

/** `openssl x509` cannot write an end that has passed; `openssl ca` can, and wants a ledger. */
function caSettings(folder: string): string {
  return [
    '[ca]\ndefault_ca=own\n[own]',
    `database=${folder}/index.txt`,
    `serial=${folder}/serial`,
    `new_certs_dir=${folder}`,
    'default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n',
  ].join('\n')
}
