/** Pairs to start from: what a person would expect to be near, far, and near in spite of the language. */
export const EXAMPLES = {
  en: {
    paraphrase: ['I forgot my password and cannot log in', 'How do I reset the password of my account?'],
    unrelated: ['I forgot my password and cannot log in', 'Our office is closed on public holidays'],
    languages: ['怎么重新设置登录密码？', 'How do I reset my login password?'],
  },
  zh: {
    paraphrase: ['我忘记密码了，登录不上', '怎么重新设置登录密码？'],
    unrelated: ['我忘记密码了，登录不上', '法定节假日我们不营业'],
    languages: ['怎么重新设置登录密码？', 'How do I reset my login password?'],
  },
} as const

export const EXAMPLE_KINDS = ['paraphrase', 'unrelated', 'languages'] as const
