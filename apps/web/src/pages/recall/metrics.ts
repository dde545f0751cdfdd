/** The measures of a run, in the order in which they are shown. */
export const METRICS = [
  { key: 'hitAt1', isShare: true },
  { key: 'hitAt3', isShare: true },
  { key: 'hitAt10', isShare: true },
  { key: 'mrrAt10', isShare: false },
  { key: 'ndcgAt10', isShare: false },
  { key: 'passed', isShare: true },
] as const
