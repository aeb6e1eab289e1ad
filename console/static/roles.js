// What a role may do beside the actions of a case, which the server offers by itself: what it may not is not shown.
import { state } from "./state.js";

const DESK = ["operator", "supervisor", "admin"];
const CHIEF = ["supervisor", "admin"];
const STAFF = ["operator", "unit", "supervisor", "admin"];
const ALL = ["viewer", ...STAFF];

const WHO = {
  acknowledge: STAFF,
  backtests: DESK,
  decide: CHIEF,
  duties: ALL,
  duty_check: DESK,
  duty_change: CHIEF,
  export: DESK,
  merge: DESK,
  notices: DESK,
  ownership: DESK,
  report: STAFF,
  silence: DESK,
  silences: STAFF,
  void: DESK,
  assessment: ALL,
};

export const mayDo = (what) => WHO[what].includes(state.me.role);
