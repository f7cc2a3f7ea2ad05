/** Postern as the conformance suites meet it: one provider that passes every path on, and nothing else. */
import { defineProvider } from 'postern/provider'
import { gateway, type TestGateway } from '../harness.ts'

/** A provider without an API: whatever the path, it is claimed and goes on as it came. */
export const wire = defineProvider({
  name: 'wire',
  description: 'Passes everything on.',
  url: null,
  dialect: () => ({
    claims: () => ({ operation: 'other' }),
    fields: {},
    authorize() {},
    usage() {},
    refusal: (status, code, message) => ({ error: { status, code, message } }),
  }),
})

/** A gateway in front of one upstream. `settings` are more of gateway.yaml. */
export function wireGateway(url: string, settings: Readonly<Record<string, unknown>> = {}): Promise<TestGateway> {
  return gateway({ plugins: [wire], upstreams: [{ name: 'one', provider: 'wire', url }], ...settings })
}

/** The port that a gateway listens at. */
export function portOf(gw: TestGateway): number {
  return Number(new URL(gw.url).port)
}
