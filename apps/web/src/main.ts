import { createApp, watch } from 'vue'
import App from './App.vue'
import { language } from './lib/language.ts'
import { i18n } from './lib/messages.ts'
import './lib/theme.ts'
import { say } from './lib/toasts.ts'
import { router } from './router.ts'
import './styles/tokens.css'
import './styles/base.css'
import './styles/parts.css'
import { uiMessages } from './ui/messages.ts'

watch(language, (now) => {
  i18n.global.locale.value = now
})

// A page whose script does not come: the server is gone, or has a newer page than this one.
router.onError(() =>
  say(i18n.global.locale.value === 'zh' ? uiMessages.zh.pageGone : uiMessages.en.pageGone, 'bad'),
)

createApp(App).use(i18n).use(router).mount('#app')
