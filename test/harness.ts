/** The kit that plugin authors use is the one that these tests use. */
export {
  openGateway as gateway,
  toYaml,
  type HouseGateway as TestGateway,
  type HouseOptions as GatewayOptions,
} from '../core/testing/gateway.ts'
export type { LogRecord } from '../core/testing/surface.ts'
