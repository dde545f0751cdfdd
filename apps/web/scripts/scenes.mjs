// What the screenshots show: an address, and what a person does there first. On the demo's domains.
const pages = () => ({
  compare: { path: '/' },
  search: { path: '/search' },
  load: { path: '/load' },
  domains: { path: '/domains' },
  recall: { path: '/recall' },
  system: { path: '/system' },
})

export const scenes = { en: pages(), zh: pages() }
