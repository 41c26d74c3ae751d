// The Leaflet map in this view of the labeler: ipyleaflet keeps it in its own view.
async function leafletOf(model, container) {
  const map = await model.widget_manager.get_model(model.get("map_id"));
  for (const promise of Object.values(map.views ?? {})) {
    const view = await promise;
    if (view.obj?.getContainer() === container) return view.obj;
  }
  return null;
}
