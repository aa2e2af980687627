// Pictures from files, drops, the clipboard or the camera, made ready for the API: {name, url, width, height},
// where url is a data: URI.

const SENT_AS_THEY_ARE = ["image/jpeg", "image/png", "image/webp"];
const MOST_BYTES = 1 << 20;  // larger files are made smaller here rather than sent
const LONGEST_SIDE = 1600;   // pixels; several times what the model looks at

export async function readPicture(file) {
  const name = file.name || "picture";
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${name} is not a picture that this browser can read.`);
  }
  try {
    const asItIs = SENT_AS_THEY_ARE.includes(file.type) && file.size <= MOST_BYTES;
    const url = asItIs ? await dataUrl(file) : redraw(bitmap);
    return {name, url, width: bitmap.width, height: bitmap.height};
  } finally {
    bitmap.close();
  }
}

export async function readExample(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error("The example picture could not be loaded.");
  const blob = await response.blob();
  return readPicture(new File([blob], path.split("/").pop(), {type: blob.type}));
}

function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error("The picture could not be read."));
    reader.readAsDataURL(blob);
  });
}

function redraw(bitmap) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";  // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92);
}
