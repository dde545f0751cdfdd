import { optionMessages } from './option-messages.ts'
import { recipeMessages } from './recipe-messages.ts'

/** For parts that speak of both: a component has one set of words. */
export const setupMessages = {
  en: { ...optionMessages.en, ...recipeMessages.en },
  zh: { ...optionMessages.zh, ...recipeMessages.zh },
}
