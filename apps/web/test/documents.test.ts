import { visitors } from './site.js'
import { domainsStories } from './stories/domains.js'
import { loadStories } from './stories/load.js'

visitors('documents in the web page', { domains: domainsStories, load: loadStories })
