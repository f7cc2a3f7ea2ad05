/** The kit that plugin authors use is the one that these tests use. */
export { gateway, toYaml, type GatewayOptions, type LogRecord, type TestGateway } from '../core/testing/gateway.ts'
