/** The options, with what they are if nobody says otherwise. */
export const config = {
  type: 'object',
  description: 'Keeps what is needed to understand failed exchanges, redacted, in the database or in a rotating file.',
  additionalProperties: false,
  properties: {
    database: {
      type: 'boolean',
      default: true,
      description:
        'Whether records go into the database where gateway.yaml has one. The file then takes what the database does not.',
    },
    keep_for: {
      type: 'string',
      format: 'duration',
      default: '30d',
      description: 'How long the database keeps a record, an hour at least. Files are bounded by their size alone.',
    },
    file: {
      type: 'string',
      minLength: 1,
      default: 'data/errors.jsonl',
      description: 'Where records go, one line of JSON each. Relative to the working directory; its folder is made.',
    },
    max_size: {
      type: 'string',
      format: 'size',
      default: '16MiB',
      description: 'How large the file may become (64KiB at least) before it is put aside as FILE.1.',
    },
    keep: {
      type: 'integer',
      minimum: 0,
      maximum: 100,
      default: 4,
      description: 'How many files that were put aside are kept, FILE.1 being the newest.',
    },
    queue: {
      type: 'integer',
      minimum: 1,
      maximum: 65_536,
      default: 1024,
      description: 'How many records may wait to be written; what does not fit is counted and dropped.',
    },
    bodies: {
      type: 'boolean',
      default: true,
      description: 'Whether the JSON body of a failed request is kept, redacted and trimmed.',
    },
    max_body: {
      type: 'string',
      format: 'size',
      default: '10KiB',
      description: 'What is kept of a body at most (256B at least): the newest messages that fit, else the essentials.',
    },
    recovered: {
      type: 'boolean',
      default: true,
      description: 'Whether exchanges that another attempt has saved are kept too, without their bodies.',
    },
    mid_stream: {
      type: 'boolean',
      default: true,
      description:
        'Whether answers are watched for errors that come after they have begun; they are then asked for uncompressed.',
    },
    ignore_client_gone: {
      type: 'boolean',
      default: false,
      description: 'Whether exchanges that the client itself has broken off are left out.',
    },
    ignore_statuses: {
      type: 'array',
      items: { type: 'integer', minimum: 400, maximum: 599 },
      default: [],
      description: 'Exchanges whose client was told one of these statuses are left out.',
    },
    ignore_operations: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      default: [],
      description: 'Exchanges of these operations, such as count_tokens, are left out.',
    },
  },
} as const
