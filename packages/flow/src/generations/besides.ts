import { type Db, type GenerationFact, generationFacts } from '@millrace/store'

interface Beside {
  readonly id: string
  readonly model: string
  readonly storage: string
  readonly paused: boolean
}

/** The generations of a domain beside the live one, in few words. */
export interface Besides {
  readonly building: (Beside & { readonly documents: GenerationFact['documents'] }) | null
  readonly retired: (Beside & { readonly dropAt: string | null }) | null
}

export const NO_BESIDES: Besides = { building: null, retired: null }

/** By the domain's id; those that have none are left out. */
export async function besidesOf(db: Db, domainIds: readonly number[]): Promise<Map<number, Besides>> {
  const found = new Map<number, Besides>()
  for (const { domainId, id, state, model, storage, paused, dropAt, documents } of await generationFacts(
    db,
    domainIds,
  )) {
    const known = found.get(domainId) ?? NO_BESIDES
    const beside = { id: String(id), model, storage, paused }
    found.set(
      domainId,
      state === 'building'
        ? { ...known, building: { ...beside, documents } }
        : { ...known, retired: { ...beside, dropAt: dropAt?.toISOString() ?? null } },
    )
  }
  return found
}
