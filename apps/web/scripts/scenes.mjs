import { domainScenes } from './scenes-domains.mjs'
import { loadScenes } from './scenes-load.mjs'
import { searchScenes } from './scenes-search.mjs'

// What the screenshots show: an address, and what a person does there first. On the demo's domains.
const pages = (language) => ({
  compare: { path: '/' },
  search: { path: '/search' },
  ...searchScenes(language),
  load: { path: '/load' },
  ...loadScenes(language),
  domains: { path: '/domains' },
  ...domainScenes(language),
  recall: { path: '/recall' },
  system: { path: '/system' },
})

export const scenes = { en: pages('en'), zh: pages('zh') }
