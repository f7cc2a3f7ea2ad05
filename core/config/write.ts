/** The other way round: from plain data to the text of a gateway.yaml. */
export { stringify as writeYaml } from 'yaml'
