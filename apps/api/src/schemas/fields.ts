import { FIELD_TYPES } from '@millrace/flow'
import { z } from 'zod'

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
const bound = z.union([z.number(), z.string()]).nullable()

export const fieldsOut = z.object({
  documents: z.int().describe('That were looked at: the newest 10,000 at most'),
  sampled: z.boolean().describe('There are others, which were not looked at'),
  fields: z
    .array(
      z.object({
        name: z.string().describe('As a filter names it'),
        types: z.array(z.enum(FIELD_TYPES)).describe('date: a text in ISO 8601'),
        documents: z.int().describe('That have it'),
        distinct: z.int().nullable().describe('Different values, those in lists too; null: more than 1,000'),
        values: z
          .array(z.object({ value: scalar, documents: z.int() }))
          .describe('The 20 commonest, those in lists too, none of more than 200 characters'),
        min: bound.describe('Of the numbers, else of the dates; null: it has neither'),
        max: bound,
      }),
    )
    .describe('The 200 commonest, the commonest first'),
})
