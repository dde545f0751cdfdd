import { CodedError } from '@millrace/errors'
import type { GateInputs, GateMetric, GateSettings, GoldenEvidence, OverlapEvidence } from './gate.js'

/** What came of a gate: kept with the generation. */
export interface GateReport {
  /** `running`: its golden runs are under way. */
  readonly state: 'running' | 'done'
  /** `none`: nothing could be measured. */
  readonly evidence: 'golden' | 'overlap' | 'none'
  readonly passed: boolean
  /** That two generations find alike says less than that the new one finds what was expected. */
  readonly isWeak: boolean
  readonly sentence: { readonly en: string; readonly zh: string }
  /** The live generation, and the one that is to take over. */
  readonly live: string
  readonly other: string
  readonly settings: GateSettings
  readonly inputs: GateInputs
  /** The golden runs. */
  readonly runs: { readonly live: string; readonly other: string } | null
  readonly golden: GoldenEvidence | null
  readonly overlap: OverlapEvidence | null
  /** Why it could not be measured. */
  readonly error: { readonly code: string; readonly message: string } | null
  readonly startedAt: string
  /** When it was decided. */
  readonly at: string | null
}

/** What is known before anything is measured. */
export type GateHead = Pick<GateReport, 'live' | 'other' | 'settings' | 'inputs' | 'startedAt'>

type Verdict = Pick<GateReport, 'evidence' | 'passed' | 'sentence'> & Partial<GateReport>

const reportOf = (head: GateHead, at: Date | null, verdict: Verdict): GateReport => ({
  state: 'done',
  isWeak: verdict.evidence !== 'golden',
  runs: null,
  golden: null,
  overlap: null,
  error: null,
  at: at?.toISOString() ?? null,
  live: head.live,
  other: head.other,
  settings: head.settings,
  inputs: head.inputs,
  startedAt: head.startedAt,
  ...verdict,
})

export const runningReport = (
  head: GateHead,
  runs: NonNullable<GateReport['runs']>,
  questions: number,
): GateReport =>
  reportOf(head, null, {
    state: 'running',
    evidence: 'golden',
    passed: false,
    isWeak: false,
    runs,
    sentence: {
      en: `The ${questions} questions of the golden set are being asked of both generations.`,
      zh: `正在用黄金集的 ${questions} 个问题检验新旧两代。`,
    },
  })

export const goldenReport = (
  head: GateHead,
  runs: NonNullable<GateReport['runs']>,
  golden: GoldenEvidence,
  at: Date,
): GateReport =>
  reportOf(head, at, {
    evidence: golden.measured === 0 ? 'none' : 'golden',
    passed: golden.measured > 0 && golden.failed.length === 0,
    runs,
    golden,
    sentence: goldenSentence(golden, head.settings.margin),
  })

export const overlapReport = (head: GateHead, overlap: OverlapEvidence, at: Date): GateReport =>
  reportOf(head, at, {
    evidence: overlap.texts === 0 ? 'none' : 'overlap',
    passed: overlap.overlap !== null && overlap.overlap >= head.settings.overlap,
    overlap,
    sentence: overlapSentence(overlap, head.settings.overlap),
  })

/** Nothing is in the domain, so nothing can get worse. */
export const emptyReport = (head: GateHead, at: Date): GateReport =>
  reportOf(head, at, {
    evidence: 'none',
    passed: true,
    sentence: {
      en: 'The domain has no documents: nothing can get worse.',
      zh: '知识库中没有文档：不会变差。',
    },
  })

/** The live one cannot be searched by a text, with the model that is here: whatever can is better. */
export const unreadableReport = (head: GateHead, error: CodedError, at: Date): GateReport =>
  reportOf(head, at, {
    evidence: 'none',
    passed: true,
    error: { code: error.code, message: error.message },
    sentence: {
      en: `Generation ${head.live} cannot be asked any more (${error.code}): nothing can get worse.`,
      zh: `第 ${head.live} 代已无法检索（${error.code}）：不会变差。`,
    },
  })

export const withoutSetReport = (head: GateHead, at: Date): GateReport =>
  reportOf(head, at, {
    evidence: 'none',
    passed: false,
    sentence: {
      en: 'The gate requires a golden set, and the domain has none.',
      zh: '门槛要求黄金集，而该知识库没有。',
    },
  })

/** @param whose the generation that could not be asked */
export const failedReport = (
  head: GateHead,
  error: { readonly code: string; readonly message: string },
  whose: string,
  at: Date,
  runs: GateReport['runs'] = null,
): GateReport =>
  reportOf(head, at, {
    evidence: 'none',
    passed: false,
    runs,
    error: { code: error.code, message: error.message },
    sentence: {
      en: `Generation ${whose} could not be asked (${error.code}): ${error.message}.`,
      zh: `无法检索第 ${whose} 代（${error.code}）。`,
    },
  })

const NAMES: Readonly<Record<GateMetric, string>> = {
  hit1: 'hit@1',
  hit3: 'hit@3',
  hit10: 'hit@10',
  mrr: 'MRR@10',
  ndcg: 'nDCG@10',
}

const share = (value: number): string => value.toFixed(4)

function goldenSentence(
  { measured, lost, failed, live, other, worse }: GoldenEvidence,
  margin: number,
): GateReport['sentence'] {
  if (live === null || other === null) {
    return {
      en: 'Not one question of the golden set can be measured: the documents that it expects are not there.',
      zh: '黄金集中没有一个问题可以衡量：其期望的文档都不在。',
    }
  }
  const gone = lost === 0 ? '' : `; ${lost} of them cannot be measured in the new generation`
  const goneZh = lost === 0 ? '' : `；其中 ${lost} 个在新一代中无法衡量`
  if (failed.length === 0) {
    return {
      en: `Over ${measured} questions no watched figure falls by more than ${margin}${gone}.`,
      zh: `在 ${measured} 个问题上，所关注的指标下降均不超过 ${margin}${goneZh}。`,
    }
  }
  const fell = failed.map((metric) => `${NAMES[metric]} ${share(live[metric])} → ${share(other[metric])}`)
  return {
    en: `Over ${measured} questions, ${fell.join(', ')}: worse by more than ${margin}. ${worse.total} got worse${gone}.`,
    zh: `在 ${measured} 个问题上，${fell.join('，')}：下降超过 ${margin}。${worse.total} 个问题变差${goneZh}。`,
  }
}

function overlapSentence({ texts, overlap, stored, queries }: OverlapEvidence, least: number) {
  if (overlap === null) {
    return {
      en: 'Nothing could be measured: there is no golden set, and no search found anything to compare.',
      zh: '无法衡量：没有黄金集，检索也没有可供比较的结果。',
    }
  }
  const isEnough = overlap >= least
  return {
    en:
      `Over ${texts} searches (${stored.texts} with stored texts, ${queries.texts} with logged queries) both generations share ` +
      `${share(overlap)} of their first 10 documents, ${isEnough ? 'at least' : 'less than'} ${least}. ` +
      `This is weaker evidence than a golden set: ${isEnough ? 'it is not refused, but ' : ''}that both find alike does not say that they find what they should.`,
    zh:
      `在 ${texts} 次检索中（${stored.texts} 次用库中文本，${queries.texts} 次用历史查询），新旧两代前 10 个文档的重合度为 ` +
      `${share(overlap)}，${isEnough ? '不低于' : '低于'} ${least}。这比黄金集的证据弱：${isEnough ? '未被拒绝，但' : ''}结果相似并不说明结果正确。`,
  }
}

/** Why a switch is refused, with what got worse. */
export function gateFailed(report: GateReport): CodedError {
  if (report.state === 'running') {
    return new CodedError('GATE_RUNNING', report.sentence.en, {
      hint: `GET …/generations/${report.other}/gate says when they are done; switch then`,
      details: { runs: report.runs },
      retryable: true,
    })
  }
  const { golden, overlap, evidence, sentence, settings, error } = report
  return new CodedError('GATE_FAILED', sentence.en, {
    hint: 'Mend what got worse, allow more with PATCH gate (millrace generations change --gate), or switch with force and a reason (--force)',
    details: {
      evidence,
      sentence,
      settings,
      error,
      overlap,
      failed: golden?.failed ?? [],
      change: golden?.change ?? null,
      worse: golden?.worse ?? { total: 0, first: [] },
    },
  })
}
