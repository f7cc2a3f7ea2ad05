/** The kit that plugin authors use is the one that these tests use. */
export {
  openGateway as gateway,
  toYaml,
  type GatewayOptions,
  type HouseGateway as TestGateway,
  type LogRecord,
} from '../core/testing/gateway.ts'
