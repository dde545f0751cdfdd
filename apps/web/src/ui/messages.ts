import { defineMessages } from '../lib/messages.ts'

export const uiMessages = defineMessages({
  en: {
    retry: 'Try again',
    wait: 'Try again in {n} s',
    loading: 'Loading…',
    slow: 'The server takes its time. Still waiting…',
    copy: 'Copy',
    copied: 'Copied',
    notCopied: 'The browser did not let us copy. Select the text instead.',
    cancel: 'Cancel',
    close: 'Close',
    dismiss: 'Dismiss',
    domain: 'Domain',
    defaultModel: 'No domain: the default model',
    problems: {
      UNREACHABLE: 'The server does not answer. Is it running, and is the network up?',
      NOT_UNDERSTOOD:
        'The server answered with something that is not an answer of the API (status {status}).',
      OVERLOADED: 'The server has more requests than it can answer right now.',
      INTERNAL: 'Something went wrong in the server (status {status}). Its log says more.',
    },
  },
  zh: {
    retry: '重试',
    wait: '{n} 秒后可重试',
    loading: '加载中…',
    slow: '服务器响应较慢，仍在等待…',
    copy: '复制',
    copied: '已复制',
    notCopied: '浏览器不允许复制，请手动选择文本。',
    cancel: '取消',
    close: '关闭',
    dismiss: '关闭提示',
    domain: '知识库',
    defaultModel: '不指定知识库：使用默认模型',
    problems: {
      UNREACHABLE: '服务器没有响应。它在运行吗？网络是否正常？',
      NOT_UNDERSTOOD: '服务器返回的不是 API 的回答（状态 {status}）。',
      OVERLOADED: '服务器当前请求过多，暂时无法处理。',
      INTERNAL: '服务器内部出错（状态 {status}），详情见服务器日志。',
    },
  },
})
