import { createApp, watch } from 'vue'
import App from './App.vue'
import { language } from './lib/language.ts'
import { i18n } from './lib/messages.ts'
import './lib/theme.ts'
import { router } from './router.ts'
import './styles/tokens.css'
import './styles/base.css'
import './styles/parts.css'

watch(language, (now) => {
  i18n.global.locale.value = now
})

createApp(App).use(i18n).use(router).mount('#app')
