import { visitors } from './site.js'
import { accessStories, KEY } from './stories/access.js'
import { compareStories } from './stories/compare.js'
import { recallStories } from './stories/recall.js'
import { searchStories } from './stories/search.js'
import { shellStories } from './stories/shell.js'
import { systemStories } from './stories/system.js'

visitors('the web page', {
  shell: shellStories,
  compare: compareStories,
  search: searchStories,
  recall: recallStories,
  system: systemStories,
})
visitors('the web page of a server with a key', { access: accessStories }, { MILLRACE_API_KEYS: KEY })
