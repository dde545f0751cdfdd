import type { Domain } from '../../api/client.ts'

export const STATES = ['received', 'preparing', 'embedding', 'ready', 'failed', 'cancelled'] as const
export type State = (typeof STATES)[number]
export type Counts = Domain['documents']

/** How a state is coloured; its word stands beside the colour. */
export const TONES: Readonly<Record<State, '' | 'good' | 'bad' | 'accent'>> = {
  received: 'accent',
  preparing: 'accent',
  embedding: 'accent',
  ready: 'good',
  failed: 'bad',
  cancelled: '',
}

export const isState = (value: unknown): value is State => STATES.some((state) => state === value)

/** Documents that are still worked on. */
export const openOf = ({ received, preparing, embedding }: Counts): number => received + preparing + embedding

/** States to offer: those that occur, the chosen one, and the two that everybody looks for. */
export const offeredStates = (counts: Counts, chosen: State | ''): State[] =>
  STATES.filter((state) => counts[state] > 0 || state === chosen || state === 'ready' || state === 'failed')
