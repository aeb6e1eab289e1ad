// Pictures are made small on the phone: a bad line carries a tenth of what a camera takes, and what the camera wrote
// beside the pixels (place, device) never leaves the phone.

const LONGEST = 1600; // pixels of the longer side: a number plate of a boat can still be read
const QUALITY = 0.82;

/** A picture from the camera → a smaller JPEG, turned as it was held. Throws for what is no picture. */
export async function smaller(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * scale));
  canvas.height = Math.max(1, Math.round(picture.height * scale));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff"; // a JPEG has nothing clear
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  return new Promise((resolve, reject) => {
    const done = (blob) => (blob ? resolve(blob) : reject(new DOMException("not encoded", "EncodingError")));
    canvas.toBlob(done, "image/jpeg", QUALITY);
  });
}
