// Pictures of a case: small ones that open large, and adding some to a step.
import { upload } from "./api.js";
import { h, icon, report } from "./dom.js";
import { t } from "./i18n.js";

const MOST = 9; // of one step, as the server has it

export const pictureAddress = (sha256) => `/api/v1/attachments/${sha256}`;

/** Small pictures of `attachments`, each a link to the large one; nothing where there are none. */
export function pictureRow(attachments) {
  if (!attachments?.length) return null;
  return h(
    "ul",
    { class: "pictures" },
    attachments.map((one, n) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: pictureAddress(one.sha256), target: "_blank", rel: "noopener" },
          h("img", {
            src: pictureAddress(one.sha256),
            alt: t("picture.n", { n: n + 1 }),
            loading: "lazy",
            width: 96,
            height: 72,
          }),
        ),
      ),
    ),
  );
}

/** A field that sends pictures as they are chosen; `draft.photos` keeps what was sent. */
export function photoField(draft) {
  const home = h("div", { class: "column" });
  const input = h("input", { type: "file", accept: "image/jpeg,image/png,image/webp", multiple: true });
  const button = h("label", { class: "button small file" }, icon("plus"), t("pictures.choose"), input);
  const show = () => {
    home.replaceChildren(
      h("div", { class: "row" }, button),
      draft.photos.length
        ? h(
            "ul",
            { class: "pictures" },
            draft.photos.map((one, n) =>
              h(
                "li",
                {},
                h("img", { src: pictureAddress(one.sha256), alt: t("picture.n", { n: n + 1 }), width: 96, height: 72 }),
                h(
                  "button",
                  {
                    type: "button",
                    class: "bare small",
                    "aria-label": t("picture.remove", { n: n + 1 }),
                    onclick: () => {
                      draft.photos.splice(n, 1);
                      show();
                    },
                  },
                  icon("close"),
                ),
              ),
            ),
          )
        : "",
    );
  };
  input.addEventListener("change", async () => {
    const files = [...input.files].slice(0, MOST - draft.photos.length);
    input.value = "";
    input.disabled = true;
    try {
      for (const file of files) {
        const kept = await upload("/attachments", file);
        if (!draft.photos.some(({ sha256 }) => sha256 === kept.sha256)) draft.photos.push(kept);
      }
    } catch (error) {
      report(error);
    } finally {
      input.disabled = false;
      show();
    }
  });
  show();
  return {
    label: t("pictures.add"),
    element: home,
    group: true,
    read: () => (draft.photos.length ? draft.photos.map(({ sha256 }) => sha256) : undefined),
  };
}
