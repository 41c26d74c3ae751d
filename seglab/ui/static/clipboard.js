// Writes to the clipboard when the kernel asks. A page that is not secure, or not in front, may not: then the text stands
// in the sheet, to be copied by hand.

function initialize({ model }) {
  const take = async ({ copy }) => {
    try {
      await navigator.clipboard.writeText(copy);
    } catch (error) {
      console.info("seglab: the clipboard is closed to this page", error);
    }
  };
  model.on("msg:custom", take);
  return () => model.off("msg:custom", take);
}

export default { initialize };
