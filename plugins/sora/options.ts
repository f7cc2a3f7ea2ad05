import type { JSONSchema } from 'json-schema-to-ts'

export const options = {
  body_limit: {
    type: 'string',
    format: 'size',
    // OpenAI's image API takes images below 50 MB. As base64 in a JSON body that is 66.7 MB, and 64 MiB are 67.1.
    default: '64MiB',
    description:
      'The largest JSON body, held in memory while the exchange lasts: a reference image may be in it. Files that are ' +
      'uploaded as multipart stream through within limits.upload.',
  },
  job_ttl: {
    type: 'string',
    format: 'duration',
    default: '7d',
    description: 'How long the gateway remembers at which upstream a video was made.',
  },
  media_keys: {
    type: 'array',
    items: { type: 'string', format: 'secret' },
    default: [],
    description:
      'Keys for signed media URLs, of 32 characters or more: the first signs, each of them opens. Empty: there are no ' +
      'signed URLs.',
  },
  media_ttl: {
    type: 'string',
    format: 'duration',
    default: '900s',
    description: 'How long a signed media URL can be opened.',
  },
  public_url: {
    type: 'string',
    pattern: '^(https?://[^\\s?#]+)?$',
    default: '',
    description: "The gateway's address as browsers see it, put before signed media URLs. Empty: they are paths.",
  },
} as const satisfies Record<string, JSONSchema>
