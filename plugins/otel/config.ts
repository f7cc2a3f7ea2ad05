/** The options, with what they are if nobody says otherwise. */
export const config = {
  type: 'object',
  description:
    'Tells OpenTelemetry collectors of exchanges and metrics, by OTLP over HTTP; never what was said in them.',
  additionalProperties: false,
  properties: {
    endpoint: {
      type: 'string',
      format: 'url',
      description:
        'The base address of the collector; /v1/traces and /v1/metrics stand below it. Absent: OTEL_EXPORTER_OTLP_ENDPOINT, else http://127.0.0.1:4318.',
    },
    headers: {
      type: 'object',
      default: {},
      additionalProperties: { type: 'string', format: 'secret', description: 'A value, such as "${COLLECTOR_KEY}".' },
      description: 'Sent with everything, beside those of OTEL_EXPORTER_OTLP_HEADERS. Values are secret.',
    },
    service_name: {
      type: 'string',
      minLength: 1,
      description: 'What this gateway is called there. Absent: OTEL_SERVICE_NAME, else postern.',
    },
    resource: {
      type: 'object',
      default: {},
      additionalProperties: { type: 'string', description: 'A value.' },
      description: 'Further attributes of the resource, beside those of OTEL_RESOURCE_ATTRIBUTES.',
    },
    traces: { type: 'boolean', default: true, description: 'Whether spans are sent.' },
    metrics: { type: 'boolean', default: true, description: 'Whether metrics are sent, all that /metrics has.' },
    sample_ratio: {
      type: 'number',
      minimum: 0,
      maximum: 1,
      default: 1,
      description:
        'The share of traces begun here that is sent, chosen by the trace id, as every OpenTelemetry SDK does.',
    },
    follow_parent: {
      type: 'boolean',
      default: true,
      description:
        'Whether the trace a client names in traceparent is continued and its sampled flag honoured. false: each exchange begins a trace of its own, with a link to the client’s.',
    },
    propagate: {
      type: 'boolean',
      default: true,
      description: 'Whether upstreams are sent traceparent and tracestate. false: not even those of the client.',
    },
    answers: {
      type: 'boolean',
      default: true,
      description:
        'Whether answers are looked at for the model, their id and why they ended; they are then asked for uncompressed.',
    },
    queue: {
      type: 'integer',
      minimum: 1,
      maximum: 65_536,
      default: 2048,
      description: 'How many spans may wait; what does not fit is counted and dropped.',
    },
    batch: {
      type: 'integer',
      minimum: 1,
      maximum: 8192,
      default: 512,
      description: 'How many spans are sent at once.',
    },
    interval: {
      type: 'string',
      format: 'duration',
      default: '5s',
      description: 'How long a span waits for others at most.',
    },
    metrics_interval: {
      type: 'string',
      format: 'duration',
      default: '60s',
      description: 'How often metrics are sent.',
    },
    timeout: {
      type: 'string',
      format: 'duration',
      default: '10s',
      description: 'How long the collector may take for one request.',
    },
    flush: {
      type: 'string',
      format: 'duration',
      default: '3s',
      description: 'How long a gateway that ends may take to send what still waits; the rest is counted as lost.',
    },
    compression: {
      enum: ['none', 'gzip'],
      default: 'none',
      description: 'gzip makes requests about eight times smaller, for collectors that are far away.',
    },
  },
} as const
