/**
 * What the image weighs, from what others publish of its parts, and its budget. A layer that `apk add` makes is gzip over the same files
 * as the packages are, so the sum of the packages is what it weighs, but for apk's own few kilobytes of records.
 */
import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'

/** What a pull may transfer, in bytes: 30 MB, decimal. */
export const budget = 30_000_000

/** What the bundle may be of that, as a layer. `test/image.test.ts` builds it and fails where it is more. */
export const bundleAllowance = 1_000_000

/** What `apk add` installs on Alpine 3.21: a Dockerfile of 2026 pins both (`FROM alpine:3.21`, `nodejs=22.23.2-r0`, `npm=10.9.1-r0`). */
export const alpine = { release: '3.21', node: '22.23.2', npm: '10.9.1' } as const

export interface Part {
  readonly name: string
  /** As transferred, in bytes. */
  readonly compressed: number
  /** As unpacked, in bytes. */
  readonly installed: number
  /** Which package, of which Alpine, and who says so. */
  readonly of: string
}

const kib = 1024
const mib = 1024 * kib
const mirror = 'x86_64; a public listing of a mirror, April 2025'
const index = 'pkgs.alpinelinux.org'

/**
 * The base, and what `apk add nodejs ca-certificates tzdata` brings: the packages that a public script names as the closure of Alpine's
 * nodejs 22.22.2, less those of the base. Installed sizes are Docker's repo-info's where no page is named.
 */
export const parts: readonly Part[] = [
  { name: 'alpine', compressed: 3_626_020, installed: 7_800_000, of: '3.21.8, amd64; repo-info' },
  // Node 22's own size stands nowhere; a newer Node is a little larger: of the binaries of nodejs.org, stripped and compressed, 22.23.2 is
  // 0.986 of 24.21.0. The largest page found (24.18.1 for x86, 18.1 MiB) would add 1.3 MB.
  {
    name: 'nodejs',
    compressed: 16.9 * mib,
    installed: 47.2 * mib,
    of: `24.16.0 of 3.24, x86_64, for 22.23.2; ${index}`,
  },
  { name: 'icu-libs', compressed: 1_828_351, installed: 4408 * kib, of: `74.2 of 3.21, ${mirror}` },
  { name: 'icu-data-en', compressed: 989.7 * kib, installed: 2756 * kib, of: `74.2 of 3.20, s390x; ${index}` },
  { name: 'libstdc++', compressed: 942_494, installed: 2652 * kib, of: `14.2.0 of 3.21, ${mirror}` },
  { name: 'sqlite-libs', compressed: 841_097, installed: 1549 * kib, of: `3.48.0 of 3.21, ${mirror}` },
  { name: 'brotli-libs', compressed: 414_536, installed: 932 * kib, of: `1.1.0 of 3.21, ${mirror}` },
  { name: 'zstd-libs', compressed: 375_122, installed: 697 * kib, of: `1.5.6 of 3.21, ${mirror}` },
  { name: 'simdutf', compressed: 227 * kib, installed: 650 * kib, of: `9.0.0 of 3.24, x86_64; ${index}` },
  { name: 'tzdata', compressed: 187_021, installed: 435 * kib, of: `2025b of 3.21, ${mirror}` },
  { name: 'ada-libs', compressed: 164.4 * kib, installed: 544 * kib, of: `2.7.8 of 3.20, aarch64; ${index}` },
  { name: 'ca-certificates', compressed: 157.5 * kib, installed: 708 * kib, of: `20250911 of 3.20, s390x; ${index}` },
  { name: 'c-ares', compressed: 107_448, installed: 233 * kib, of: `1.34.5 of 3.21, ${mirror}` },
  { name: 'simdjson', compressed: 97.2 * kib, installed: 238.7 * kib, of: `4.2.4 of 3.24, x86_64; ${index}` },
  { name: 'libgcc', compressed: 81_487, installed: 152 * kib, of: `14.2.0 of 3.21, ${mirror}` },
  { name: 'nghttp2-libs', compressed: 66_433, installed: 137 * kib, of: `1.64.0 of 3.21, ${mirror}` },
]

/** Everything but the bundle, in bytes. */
export function sumOf(size: 'compressed' | 'installed'): number {
  return parts.reduce((sum, part) => sum + part[size], 0)
}

/** A folder as a layer of an image: packed by tar, compressed as Docker does by default; and as it lies on a disk. In bytes. */
export function weighLayer(folder: string): { readonly compressed: number; readonly installed: number } {
  const packed = execFileSync('tar', ['-C', folder, '-cf', '-', '.'], { maxBuffer: 2 ** 28 })
  return { compressed: gzipSync(packed).length, installed: packed.length }
}

/** The table of docs/platform-engineer.md. */
export function imageTable(): string {
  const mb = (bytes: number) => (bytes / 1e6).toFixed(2)
  const rows = parts.map(
    ({ name, compressed, installed, of }) => `| ${name} | ${mb(compressed)} | ${mb(installed)} | ${of} |`,
  )
  const bundle = `| the bundle, at most | ${mb(bundleAllowance)} | ${mb(4 * bundleAllowance)} | \`test/image.test.ts\` builds and weighs it |`
  const sum = `| **together** | **${mb(sumOf('compressed') + bundleAllowance)}** | **${mb(sumOf('installed') + 4 * bundleAllowance)}** | the budget is ${mb(budget)} compressed |`
  return ['| | MB, as pulled | MB, unpacked | Size of |', '|---|--:|--:|---|', ...rows, bundle, sum].join('\n')
}
