// Every picture on the map is drawn here on a canvas: no sprite server. Shape as well as colour tells the role apart.
const SCALE = 2; // drawn at twice the size, for sharp edges on dense screens

const TAU = 2 * Math.PI;

/** Colours of the present theme, read from the style sheet, e.g. palette("--map-water"). */
export function palette(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawn(size, paint) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * SCALE;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.scale(SCALE, SCALE);
  paint(pen, size / 2);
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

function filled(pen, colour, halo) {
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = halo;
  pen.stroke();
  pen.fillStyle = colour;
  pen.fill();
}

const SHAPES = {
  patrol: (pen, c) => pen.arc(c, c, 6.5, 0, TAU),
  police: (pen, c) => {
    // a shield
    pen.moveTo(c, c - 8);
    pen.lineTo(c + 7, c - 5.5);
    pen.lineTo(c + 6.5, c + 2);
    pen.lineTo(c, c + 8.5);
    pen.lineTo(c - 6.5, c + 2);
    pen.lineTo(c - 7, c - 5.5);
    pen.closePath();
  },
  boat: (pen, c) => {
    // a hull under a mast
    pen.moveTo(c - 9, c + 1);
    pen.lineTo(c - 1, c + 1);
    pen.lineTo(c - 1, c - 8);
    pen.lineTo(c + 6, c + 1);
    pen.lineTo(c + 9, c + 1);
    pen.lineTo(c + 5, c + 7);
    pen.lineTo(c - 5, c + 7);
    pen.closePath();
  },
  other: (pen, c) => {
    pen.moveTo(c, c - 7.5);
    pen.lineTo(c + 7.5, c);
    pen.lineTo(c, c + 7.5);
    pen.lineTo(c - 7.5, c);
    pen.closePath();
  },
  camera: (pen, c) => {
    pen.roundRect(c - 8, c - 5, 11, 10, 2);
    pen.moveTo(c + 4, c - 1.5);
    pen.lineTo(c + 9, c - 5);
    pen.lineTo(c + 9, c + 5);
    pen.lineTo(c + 4, c + 1.5);
    pen.closePath();
  },
  sensor: (pen, c) => pen.roundRect(c - 6.5, c - 6.5, 13, 13, 3),
};

function shape(name, colour, halo) {
  return drawn(24, (pen, c) => {
    pen.beginPath();
    SHAPES[name](pen, c);
    filled(pen, colour, halo);
    if (name === "sensor") {
      pen.beginPath();
      pen.arc(c, c, 2.5, 0, TAU);
      pen.fillStyle = halo;
      pen.fill();
    }
  });
}

const crossed = (image, colour, halo) =>
  drawn(24, (pen, c) => {
    const under = document.createElement("canvas");
    under.width = image.width;
    under.height = image.height;
    under.getContext("2d").putImageData(image, 0, 0);
    pen.globalAlpha = 0.6;
    pen.drawImage(under, 0, 0, 2 * c, 2 * c);
    pen.globalAlpha = 1;
    for (const [width, style] of [
      [5, halo],
      [2.2, colour],
    ]) {
      pen.beginPath();
      pen.moveTo(4, 20);
      pen.lineTo(20, 4);
      pen.lineWidth = width;
      pen.strokeStyle = style;
      pen.stroke();
    }
  });

/** The arrow that shows a heading; drawn pointing north and turned by the map. */
const arrow = (colour, halo) =>
  drawn(48, (pen, c) => {
    pen.beginPath();
    pen.moveTo(c, 3);
    pen.lineTo(c + 6, 11.5);
    pen.lineTo(c, 9.5);
    pen.lineTo(c - 6, 11.5);
    pen.closePath();
    filled(pen, colour, halo);
  });

const hatch = (colour) =>
  drawn(16, (pen) => {
    pen.strokeStyle = colour;
    pen.globalAlpha = 0.3;
    pen.lineWidth = 1.4;
    for (const shift of [-16, 0, 16]) {
      pen.beginPath();
      pen.moveTo(shift, 16);
      pen.lineTo(shift + 16, 0);
      pen.stroke();
    }
  });

/** A case: a flag on its place. */
const flag = (colour, ink, halo) =>
  drawn(30, (pen, c) => {
    pen.beginPath();
    pen.moveTo(c - 1, c);
    pen.lineTo(c - 1, 3);
    pen.lineTo(c + 12, 6.5);
    pen.lineTo(c + 1, 10.5);
    pen.lineTo(c + 1, c);
    pen.closePath();
    filled(pen, colour, halo);
    pen.beginPath();
    pen.arc(c, c, 3, 0, TAU);
    pen.fillStyle = ink;
    pen.fill();
  });

/** A side of a backtest: its sign in bars, as no font draws it alike everywhere; a ring around the one that is chosen. */
const sign = (bars, colour, halo, ring) =>
  drawn(30, (pen, c) => {
    pen.beginPath();
    pen.arc(c, c, 9.5, 0, TAU);
    filled(pen, colour, halo);
    if (ring) {
      pen.beginPath();
      pen.arc(c, c, 13, 0, TAU);
      pen.lineWidth = 3;
      pen.strokeStyle = ring;
      pen.stroke();
    }
    pen.fillStyle = halo;
    for (const [x, y, width, height] of bars) pen.fillRect(c + x, c + y, width, height);
  });

const BARS = {
  added: [
    [-5.5, -1.25, 11, 2.5],
    [-1.25, -5.5, 2.5, 11],
  ],
  gone: [[-5.5, -1.25, 11, 2.5]],
  kept: [
    [-5, -3.75, 10, 2.5],
    [-5, 1.25, 10, 2.5],
  ],
};
const SIDE_COLOURS = { added: "--good", gone: "--high", kept: "--text-3" };

/** All pictures of the present theme: [name, ImageData]. */
export function pictures() {
  const halo = palette("--map-halo");
  const all = [];
  for (const role of ["patrol", "police", "boat", "other"]) {
    const colour = palette(`--role-${role}`);
    all.push([`terminal-${role}`, shape(role, colour, halo)], [`arrow-${role}`, arrow(colour, halo)]);
  }
  for (const kind of ["camera", "sensor"]) {
    const fine = shape(kind, palette(`--device-${kind}`), halo);
    all.push(
      [`${kind}-fine`, fine],
      [`${kind}-alert`, shape(kind, palette("--high"), halo)],
      [`${kind}-off`, crossed(shape(kind, palette("--text-3"), halo), palette("--text-2"), halo)],
    );
  }
  for (const severity of ["low", "medium", "high"]) {
    all.push([`case-${severity}`, flag(palette(`--${severity}`), palette("--map-case"), halo)]);
  }
  for (const [side, bars] of Object.entries(BARS)) {
    const colour = palette(SIDE_COLOURS[side]);
    all.push(
      [`sign-${side}`, sign(bars, colour, halo, null)],
      [`sign-${side}-chosen`, sign(bars, colour, halo, palette("--accent"))],
    );
  }
  all.push(["hatch", hatch(palette("--map-no-fishing"))]);
  return all;
}

export const PIXEL_RATIO = SCALE;
