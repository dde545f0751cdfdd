import { createRouter, createWebHistory } from 'vue-router'
import ComparePage from './pages/compare/ComparePage.vue'

/** Everything but the first page is loaded when it is opened. The server knows these addresses: apps/api/src/page.ts. */
export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/', name: 'compare', component: ComparePage },
    { path: '/search', name: 'search', component: () => import('./pages/search/SearchPage.vue') },
    { path: '/load', name: 'load', component: () => import('./pages/load/LoadPage.vue') },
    { path: '/domains', name: 'domains', component: () => import('./pages/domains/DomainsPage.vue') },
    {
      path: '/domains/:name',
      name: 'domain',
      component: () => import('./pages/domains/DomainPage.vue'),
      props: true,
    },
    {
      // A document's id may contain anything: it is in the query, ?id=
      path: '/domains/:name/document',
      name: 'document',
      component: () => import('./pages/domains/DocumentPage.vue'),
      props: ({ params, query }) => ({ name: params.name, id: String(query.id ?? '') }),
    },
    { path: '/recall', name: 'recall', component: () => import('./pages/recall/RecallPage.vue') },
    { path: '/system', name: 'system', component: () => import('./pages/system/SystemPage.vue') },
    { path: '/:rest(.*)', name: 'nowhere', component: () => import('./pages/NowherePage.vue') },
  ],
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path ? {} : { top: 0 }),
})
