/** `npm run generate`: writes schemas/gateway.schema.json and the generated parts of the documents. */
import { generate } from './generated.ts'

await generate()
