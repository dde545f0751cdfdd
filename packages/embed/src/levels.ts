import { z } from 'zod'

const levelSchema = z.strictObject({
  key: z.string().regex(/^[a-z][a-z0-9_]{0,31}$/, 'must match ^[a-z][a-z0-9_]{0,31}$'),
  above: z.number().min(-1).max(1).nullable(),
  name: z.strictObject({ zh: z.string().min(1).max(100), en: z.string().min(1).max(100) }),
})

/**
 * A named band of similarity: every similarity strictly above `above` that no higher level has taken.
 * `above` is null for the last one, which takes the rest, -1 included.
 */
export type Level = Readonly<z.infer<typeof levelSchema>> & {
  readonly name: { readonly zh: string; readonly en: string }
}

/**
 * Levels, highest first: at least one, `above` strictly falling within -1 to 1 and null for the last one only,
 * keys unique and matching `^[a-z][a-z0-9_]{0,31}$`, names in Chinese and English.
 */
export const levelsSchema = z
  .array(levelSchema)
  .min(1)
  .superRefine((levels, context) => {
    const keys = new Set<string>()
    levels.forEach(({ key, above }, i) => {
      const refuse = (field: string, message: string) =>
        context.addIssue({ code: 'custom', path: [i, field], message })
      const isLast = i === levels.length - 1
      if (keys.has(key)) refuse('key', `"${key}" is there twice`)
      keys.add(key)
      if (isLast && above !== null) refuse('above', 'must be null for the last level: it takes the rest')
      if (!isLast && above === null) refuse('above', 'may be null for the last level only')
      const higher = levels[i - 1]?.above
      if (above !== null && typeof higher === 'number' && above >= higher) {
        refuse('above', `${above} must be below ${higher}, that of the level before it`)
      }
    })
  })

/**
 * The level of a similarity: the first whose `above` is strictly below it, so that 0.85 itself is not "above
 * 0.85".
 * @param levels highest first, as `levelsSchema` has them
 * @throws RangeError when there is none, which a checked list cannot give
 */
export function levelOf(levels: readonly Level[], similarity: number): Level {
  const level = levels.find(({ above }) => above === null || similarity > above)
  if (level === undefined) throw new RangeError(`No level takes the similarity ${similarity}`)
  return level
}
