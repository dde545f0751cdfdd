import { afterAll, beforeAll, describe } from 'vitest'
import { hasBrowser, openSite, type Site } from './browser.js'

const isHere = hasBrowser()

/** Stories of visitors of one server in one browser; each makes domains of its own in it. */
export function visitors(
  who: string,
  stories: Readonly<Record<string, (site: () => Site) => void>>,
  env: Record<string, string> = {},
): void {
  describe.skipIf(!isHere)(who, () => {
    let site: Site
    beforeAll(async () => {
      site = await openSite(env)
    })
    afterAll(() => site?.close())
    for (const [name, tell] of Object.entries(stories)) describe(name, () => tell(() => site))
  })
}
