// How grave something is, as people see it: a colour, a picture and a word, never the colour alone.
import { h, icon } from "./dom.js";
import { t } from "./i18n.js";

const PICTURES = { high: "sos", medium: "alert", low: "bell" };

export const severityChip = (severity) =>
  h("span", { class: `chip ${severity}` }, icon(PICTURES[severity]), t(`severity.${severity}`));
