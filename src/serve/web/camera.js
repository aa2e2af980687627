// Takes a picture: on a phone by the system's camera, elsewhere with a webcam in a dialog.
const byId = (id) => document.getElementById(id);
const inTheHand = matchMedia("(pointer: coarse)").matches;
// Browsers give the camera only to https pages and to those of this computer.
const hasWebcam = Boolean(navigator.mediaDevices?.getUserMedia);

// `onFiles(files)` gets what was taken, `onError(text)` why there is no picture.
export function setUpCamera(onFiles, onError) {
  const dialog = byId("viewfinder");
  const video = dialog.querySelector("video");
  byId("camera").hidden = !inTheHand && !hasWebcam;
  byId("camera").addEventListener("click", async () => {
    if (inTheHand) {
      byId("photo").click();
      return;
    }
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment", width: {ideal: 1280}}});
      dialog.showModal();
      await video.play();
    } catch (error) {
      dialog.close();
      onError(error.name === "NotAllowedError" ? "The browser does not let this page use the camera." : "No camera was found.");
    }
  });
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  });
  byId("shutter").addEventListener("click", async () => {
    if (video.videoWidth === 0) return;  // nothing seen yet
    const canvas = document.createElement("canvas");
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    dialog.close();
    onFiles([new File([blob], "photo.jpg", {type: "image/jpeg"})]);
  });
}
