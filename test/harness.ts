/** The kit that plugin authors use is the one that these tests use. */
export { openGateway as gateway, toYaml, type HouseGateway as TestGateway } from '../core/testing/gateway.ts'
export type { GatewayOptions, LogRecord } from '../core/testing/surface.ts'
