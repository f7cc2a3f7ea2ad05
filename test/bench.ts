/** The kit that plugin authors use is the one that these benchmarks use. */
export { bench } from '../core/testing/bench.ts'
