import { CodedError } from '@millrace/errors'
import type { Completeness, GenerationError, GenerationRow } from '@millrace/store'

type Named = Pick<GenerationRow, 'id' | 'domain'>

/** What keeps a generation from being complete, in words; nothing where nothing does. */
export function whatIsLeft({ filled, open, lost, indexDue, termCountsDue }: Completeness): string[] {
  const left: string[] = []
  if (!filled) left.push('not all documents of the domain were looked at yet')
  if (open > 0)
    left.push(`${open} ${open === 1 ? 'document is' : 'documents are'} still to be prepared or embedded`)
  if (lost > 0) left.push(`${lost} ${lost === 1 ? 'document' : 'documents'} failed`)
  if (indexDue) left.push('its index is not built')
  if (termCountsDue) left.push('its terms are not counted')
  return left
}

/**
 * Nothing but documents on their way, and what follows when they are there: they come and go, a moment without any may
 * come soon.
 */
export const mayPass = (
  { filled, open, lost, indexDue, termCountsDue }: Completeness,
  isForced: boolean,
): boolean => filled && (open > 0 || termCountsDue) && !indexDue && (lost === 0 || isForced)

/** After a third of the time so much is left that it will not be done in the rest, nor nearly. */
export const isFar = (first: number, now: number): boolean => now > 20 + 4 * Math.max(0, first - now)

export function notComplete(
  { id, domain }: Named,
  left: Completeness,
  errors: readonly GenerationError[],
): CodedError {
  const isOnlyLost = left.lost > 0 && whatIsLeft(left).length === 1
  return new CodedError(
    'GENERATION_NOT_COMPLETE',
    `Generation ${id} of "${domain}" is not complete: ${whatIsLeft(left).join(', ')}`,
    {
      hint: isOnlyLost
        ? 'Submit those documents again, or switch with force and a reason: they fail with the switch'
        : `GET /v1/domains/${domain}/generations/${id} says how far it is`,
      details: { domain, id: String(id), ...left, errors },
    },
  )
}

/** Of vectors that nobody can compute again, those that the other generation lacks are on their way. */
export const stillCopying = ({ id, domain }: Named, behind: number): CodedError =>
  new CodedError(
    'GENERATION_NOT_COMPLETE',
    `Generation ${id} of "${domain}" lacks ${behind} ${behind === 1 ? 'document' : 'documents'} that ${behind === 1 ? 'is' : 'are'} being copied to it`,
    { hint: 'Try again in a moment', details: { domain, id: String(id), behind }, retryable: true },
  )

export const generationEnded = ({
  id,
  domain,
  state,
}: Pick<GenerationRow, 'id' | 'domain' | 'state'>): CodedError =>
  new CodedError('GENERATION_ENDED', `Generation ${id} of "${domain}" has ended`, {
    hint: `GET /v1/domains/${domain}/generations lists those that are there`,
    details: { domain, id: String(id), state },
  })

export const nothingToRollBack = (domain: string): CodedError =>
  new CodedError('NOTHING_TO_ROLL_BACK', `Domain "${domain}" has no generation to go back to`, {
    hint: 'The one before is gone after its soak time, or there never was one; POST …/generations builds another',
    details: { domain },
  })

/** The one that is retired was rolled back from, or switched from to an older one: to it is forward. */
export const rolledBackAlready = (domain: string, retired: string): CodedError =>
  new CodedError(
    'NOTHING_TO_ROLL_BACK',
    `Domain "${domain}" has no older generation to go back to: it was rolled back from ${retired} already`,
    {
      hint: `To go forward again, switch to it by its id: POST …/generations/${retired}/switch, or millrace generations switch ${domain} ${retired}`,
      details: { domain, retired },
    },
  )

export const notBuilding = ({
  id,
  domain,
  state,
}: Pick<GenerationRow, 'id' | 'domain' | 'state'>): CodedError =>
  new CodedError(
    'GENERATION_NOT_BUILDING',
    `Generation ${id} of "${domain}" is ${state}, it is not being built`,
    {
      hint:
        state === 'live'
          ? 'Readers see it; roll back, or switch to another'
          : `PATCH its soakSeconds to 60, and it goes by itself: millrace generations change ${domain} ${id} --soak 60s`,
      details: { domain, id: String(id), state },
    },
  )

/** Unless the gate says it better. */
export const gateRefused = ({ id, domain }: Named, report: object): CodedError =>
  new CodedError('GATE_FAILED', `Generation ${id} of "${domain}" finds worse than the live one`, {
    hint: `GET /v1/domains/${domain}/generations/${id}/gate says what got worse; force with a reason switches all the same`,
    details: { domain, id: String(id), report },
  })

/** @param holders processes of the database that hold it */
export const viewIsRead = (domain: string, holders: readonly number[]): CodedError =>
  new CodedError('UNAVAILABLE', `Somebody reads the view of "${domain}" for long, so it cannot be replaced`, {
    hint:
      holders.length === 0
        ? 'Try again when the transaction that read it has ended'
        : `Try again when the transactions of these processes have ended, idle ones too: ${holders.join(', ')}; pg_stat_activity says whose they are`,
    details: { domain, holders },
    retryable: true,
  })
