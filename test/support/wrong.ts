import type { Case } from './wrong/case.js'
import { domains } from './wrong/domains.js'
import { generations } from './wrong/generations.js'
import { reads } from './wrong/reads.js'
import { searches } from './wrong/searches.js'
import { submissions } from './wrong/submissions.js'

export { DOCUMENTS, OK } from './wrong/case.js'

export const cases: readonly Case[] = [...submissions, ...reads, ...domains, ...generations, ...searches]
