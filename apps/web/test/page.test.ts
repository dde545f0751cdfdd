import { afterAll, beforeAll, describe } from 'vitest'
import { hasBrowser, openSite, type Site } from './browser.js'
import { accessStories, KEY } from './stories/access.js'
import { compareStories } from './stories/compare.js'
import { domainsStories } from './stories/domains.js'
import { loadStories } from './stories/load.js'
import { recallStories } from './stories/recall.js'
import { searchStories } from './stories/search.js'
import { shellStories } from './stories/shell.js'
import { systemStories } from './stories/system.js'

const isHere = hasBrowser()
/** One server and one browser for all: each story has a file in stories/, and domains of its own. */
const STORIES = {
  shell: shellStories,
  compare: compareStories,
  domains: domainsStories,
  load: loadStories,
  search: searchStories,
  recall: recallStories,
  system: systemStories,
}

describe.skipIf(!isHere)('the web page', () => {
  let site: Site
  beforeAll(async () => {
    site = await openSite()
  })
  afterAll(() => site?.close())
  for (const [name, stories] of Object.entries(STORIES)) describe(name, () => stories(() => site))
})

describe.skipIf(!isHere)('the web page of a server with a key', () => {
  let site: Site
  beforeAll(async () => {
    site = await openSite({ MILLRACE_API_KEYS: KEY })
  })
  afterAll(() => site?.close())
  accessStories(() => site)
})
