import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

const server = process.env.MILLRACE_URL ?? 'http://127.0.0.1:8080'

export default defineConfig({
  plugins: [vue()],
  define: {
    __VUE_OPTIONS_API__: 'false',
    __VUE_I18N_FULL_INSTALL__: 'false',
    __VUE_I18N_LEGACY_API__: 'false',
    __INTLIFY_PROD_DEVTOOLS__: 'false',
  },
  build: {
    target: 'es2022',
    // light-dark() stays as it is: what it would be lowered to follows the system alone, not the choice in the page.
    cssTarget: ['chrome123', 'edge123', 'firefox120', 'safari17.5'],
    // Scripts that are inlined would need a laxer content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
  // `npm run dev`: the page with hot reload, the API from a running server.
  server: {
    proxy: Object.fromEntries(
      ['/v1', '/similarity', '/docs', '/openapi.json', '/readyz'].map((path) => [path, server]),
    ),
  },
})
